"""A patient's posterior as support patients that are carried along: the belief of multiple-model dosing.

`support` holds what a support patient is and draws the prior, `carry` takes all through an interval, `learning` weighs
and renews them with the results, `foresight` predicts, `choice` finds the dose.
"""
