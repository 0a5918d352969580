"""`habeas demo`: the main job watched live, with a crash and a standstill on the way, and checked at the end.

scenario.py    what is asked for, by whom, and what has to come of it
portal.py      asks for it, as the portal `web` does
watch.py       what portals and operators see of it in Kafka
mailbox.py     the mails, and the copies behind their links
scene.py       what there is to be seen now; display.py shows it
checks.py      compares what was observed with the scenario
report.py      tells the results
run.py         the order of events
"""
