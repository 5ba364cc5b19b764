"""Tests of the room that brings the engine to local state."""
