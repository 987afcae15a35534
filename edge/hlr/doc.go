// Package hlr speaks the two management protocols of the osmo-hlr home location register: CTRL (TCP 4259), which carries
// provisioning, and the VTY (TCP 4258, telnet text), which lists all subscribers and reaches phones that are attached.
//
// It owns the two codecs and the connections. It tells nobody anything and hears nothing: a driver calls it and reads the
// answer. It holds no business and no state of its own.
//
//	            Do(create, aud3g, msisdn ...)           one write, up to 64 commands
//	driver ---> Client ===== CTRL frames ==========> HLR 4259
//	       <--- replies matched by id <=============
//	       ---> VTY    ----- "show subscribers all" > HLR 4258 ---> attached phones (Insert/DeleteSubscriberData)
//
// Three things that a caller must know:
//
//   - CTRL answers commands of one connection in their order. After Timeout the command may still be waiting in the element:
//     read back on the same Client, where the read cannot overtake it. A new connection can overtake it.
//   - Nothing set over CTRL reaches a phone that is attached; it bites at its next location update. VTY.SetAccess and
//     VTY.SetMSISDN push at once.
//   - osmo-hlr 1.5.0 aborts on a CTRL frame of 1200 octets or a little more, therefore Client refuses long commands.
package hlr
