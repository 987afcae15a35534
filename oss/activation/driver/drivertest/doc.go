// Package drivertest is the one suite that every driver passes, on the real element and on its stand-in in the lab.
//
// It owns the rules of the driver package as tests. A harness tells it how to start an element, how to disturb the way to it, and how
// to ask the element itself, past the driver. It tells and hears nothing.
//
//	suite ---> driver ---> Inject: lose, hold, cut the n-th command ---> element (Kill, Restart)
//	  `------- Holds, Tamper, Vanish, Works: past the driver ---------------^
package drivertest
