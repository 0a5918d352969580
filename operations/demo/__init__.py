"""`habeas demo`: the main job watched live, with a crash and a standstill on the way, and checked at the end.

scenario.py    what is asked for, and what has to come of it; people.py has by whom, and what their copies must hold
stories.py     the play, in acts and stories; play.py has what can be done in it
stage.py       where it is played: on a stack of its own, or on the one in containers
portal.py      asks, as the portal `web` does
watch.py       what portals and operators see of it in Kafka
mailbox.py     the mails, and the copies behind their links
scene.py       what there is to be seen now; display.py shows it, recording.py draws it
checks.py      compares what was observed with the scenario; copies.py looks into the copies
report.py      tells the results
run.py         from start to end
"""
