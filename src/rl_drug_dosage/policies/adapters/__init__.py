"""Policies made of model files, callables, other libraries' agents, and words."""
