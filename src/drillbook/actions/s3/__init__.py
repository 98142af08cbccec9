"""Objects of an S3 store: write and read them, copy them, lose and corrupt them, bring them back, compare them."""
