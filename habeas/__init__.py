"""The public face of Habeas: what portals and the teams that own systems install.

`habeas.contracts` is the wire: event models, CloudEvents envelope, sealing. `habeas.participant` is the
library for a team's system.
"""
