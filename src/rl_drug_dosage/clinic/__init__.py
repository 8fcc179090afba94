"""What a clinic knows, may prescribe and is after: the values that environments and agents share.

`scenario` describes a dosing task, `record` what is known of one patient, `interval` how one decision plays out under
a drug model, `belief` what the levels say about the patient, `features` what a learner is shown.
"""
