"""Checkpoints: read as data, written whole, found in their own folder, compared.

A checkpoint is data and a config is code: whatever is read here may come from a
stranger, and can neither run anything nor point outside of its folder.
"""
