from systems.support.app import main

main()
