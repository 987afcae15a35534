// Package driver is the seam between the back office and the elements of the network: one small interface, one vocabulary of
// failures, and what every driver knows about the types of resources. A driver lives in a folder of its own below this one and
// passes the suite in drivertest.
//
// It owns no data and no connection. It tells nobody anything and hears nothing.
//
//	activation --- Ensure(Desired) ---> driver --- read, change, read back ---> element
//	           <-- Observed | *Error --
//	                          class: transient  capacity  validation  conflict  auth  unknown
//
// The contract of Ensure:
//
//   - It makes the resource what Desired says and returns what the element then has, read back and compared. It may be called again at
//     any time: a second call with the same Desired changes nothing.
//   - An attribute or secret that Desired does not name stays as it is.
//   - That a resource to create exists, or one to delete does not, is success.
//   - A reply is not the state. A command whose outcome is unknown is read back before it is tried again; the class is Unknown only when
//     the element could not be asked in time either.
//   - Operations on different keys may run at the same time; the caller keeps those on one key apart.
//   - Secrets appear in no error, log line or Observed.
package driver
