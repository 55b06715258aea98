//! The commands: the only code that prints to the terminal.
