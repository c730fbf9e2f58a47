"""The made-up world, the shipped language model trained on it, and the build that remakes both.

Read in this order: ``lexicon`` (words), ``grammar`` (passages), ``abilities`` (questions with
known answers), ``recited`` (texts a visitor recognises as recited), ``world`` (what is planted,
how often, what is held out), ``tokenizer``, ``train``, ``build``.
"""
