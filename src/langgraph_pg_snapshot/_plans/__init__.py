"""What each operation does, as generators: they yield steps and are sent what came of them.

A plan touches no connection, so each is written once and run by both drivers, and nothing is held
while it encodes or decodes.
"""
