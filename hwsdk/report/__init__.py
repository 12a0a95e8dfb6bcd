"""What users look at: comparisons of chips, reports of programs, benchmark figures, and why accuracy was lost."""
