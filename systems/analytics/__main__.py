from systems.analytics.app import main

main()
