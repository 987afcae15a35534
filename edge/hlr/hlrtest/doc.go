// Package hlrtest starts a real osmo-hlr for a test and puts faults between it and its client.
//
// It owns the process, its directory and its address: one 127.x.y.z per element, so that many run side by side although the control
// port cannot be chosen. It tells and hears nothing.
//
//	test ---> Proxy (swallow, hold or cut one command) ---> osmo-hlr 127.x.y.z  CTRL 4259, VTY 4258, GSUP 4222
//	  `------ Kill, Restart, Freeze, Thaw ---------------------^
package hlrtest
