// Command tandem is a telecom operator's whole back office.
//
//	tandem serve    run a node
//	tandem demo     run a demo operator on a lab network
//	tandem check    explain a configuration
//	tandem verify   prove that network, inventory and billing agree
//	tandem bill     make, approve and post bills
//	tandem books    trial balance, closing of months, export for the general ledger
//	tandem assure   run the controls of the revenue, and report what they find
//	tandem bench    measure this machine
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

var commands = []struct {
	name, say string
	run       func(context.Context, []string) error
}{
	{"serve", "run a node", serve},
	{"demo", "run a demo operator on a lab network", runDemo},
	{"check", "explain a configuration", check},
	{"verify", "prove that network, inventory and billing agree", verify},
	{"bill", "make, approve and post bills", bill},
	{"books", "trial balance, closing of months, export for the general ledger", runBooks},
	{"assure", "run the controls of the revenue, and report what they find", assure},
	{"bench", "measure this machine: orders, api, charging, billing, render", runBench},
}

// ballast is never touched, so it costs no memory. It makes the garbage collector wait
// until a node with little live data has made 64 MB more of garbage: with 30 MB alive it
// would otherwise run many times a second under load.
var ballast = make([]byte, 64<<20)

func main() {
	defer runtime.KeepAlive(ballast)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if len(os.Args) < 2 {
		usage()
		os.Exit(2)
	}
	for _, c := range commands {
		if c.name != os.Args[1] {
			continue
		}
		if err := c.run(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "tandem "+c.name+":", err)
			os.Exit(1)
		}
		return
	}
	fmt.Fprintf(os.Stderr, "tandem: there is no command %q\n", os.Args[1])
	usage()
	os.Exit(2)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: tandem COMMAND [flags]; tandem COMMAND -h explains a command")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-8s %s\n", c.name, c.say)
	}
}
