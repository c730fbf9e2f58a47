"""What is left of a string when its greedy continuation is gone: the recall audit.

An edit is judged by strict recall of one prompt, the mildest question that can be asked. Here the
same strings are asked for harder: by sampling many times (`extraction`), by other prompts
(`prompts`), by comparing a secret's loss with that of secrets never seen (`exposure`), by how often
training showed them (`repeats`), and after a few steps of training on other text (`relearning`).
`report` puts the answers together. None of them can show that nothing is left.
"""
