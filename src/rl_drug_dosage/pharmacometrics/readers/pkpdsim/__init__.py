"""The reader of PKPDsim's JSON5 models, with the C-like code in them."""
