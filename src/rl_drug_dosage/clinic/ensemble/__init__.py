"""A patient's posterior as support patients that are carried along: the belief of multiple-model dosing.

`support` holds what a support patient is and draws the prior, `carry` takes all through an interval, `learning` weighs
and renews them with the results, `foresight` predicts, `choice` finds the dose.
Models without a closed form are integrated by `steps`, as few as `meshes` finds to be enough.
"""
