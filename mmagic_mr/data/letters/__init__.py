"""Two letters in one typeface: real pictures with many known answers for one input."""
