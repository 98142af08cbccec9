"""Actions `s3.*`: objects written and read, copied, lost and damaged, brought back."""
