"""The virtual machine monitor: the physical computer, the monitor, and one folder for each mechanism."""
