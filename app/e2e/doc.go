// Package e2e walks the path of an order from end to end: a whole node, either
// store, a real osmo-hlr with a phone's serving node beside it, and everything
// that goes wrong on the way. It holds tests only.
//
//	test ──HTTP──> node ──CTRL──> [proxy: lose, hold, cut] ──> osmo-hlr <──GSUP── phone
//	  │             │                                             │
//	  │ kill -9     ▼                                             ▼
//	  └───────> SQLite | PostgreSQL ───────────────────────> proof: register, inventory,
//	                                                         pools and bill say the same
//
// A second process is this test binary again, see TestMain.
package e2e
