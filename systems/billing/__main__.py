from systems.billing.app import main

main()
