"""Tests of the room that brings local state to the engine."""
