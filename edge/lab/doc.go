// Package lab is a small operator network in one process: elements that speak the protocols of the real ones, so that the demo and
// the quick tests need nothing installed. Here: the home location register, with the control interface and the command line of
// osmo-hlr 1.5.0 (replies, error texts and quirks included). It has no GSUP: no phone attaches to it.
//
// It owns the subscribers of its directory. It tells nobody anything and hears only what its clients send. What it answered survives
// kill -9 of the process: the journal is written before the reply. It is not synced to the disk, so a power cut may lose the end.
//
//	CTRL ---> decode -> Faults? -> apply -> journal write(2) -> reply
//	           many commands at a time      DIR/hlr.journal
//	VTY  ---> show subscribers all, update network-access-mode / msisdn
//	start:    journal -> subscribers in memory; a long journal is written anew
package lab
