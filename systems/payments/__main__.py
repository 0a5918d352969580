from systems.payments.app import main

main()
