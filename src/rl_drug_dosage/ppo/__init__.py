"""Proximal policy optimisation, pure: networks, normaliser, advantages, losses, one learner.

Nothing in here knows an environment; ``training`` brings the two together.
"""
