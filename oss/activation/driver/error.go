package driver

import (
	"context"
	"errors"
	"time"
)

// Class says what became of an operation, as far as the next step depends on it.
type Class string

// The classes of failure.
const (
	Transient  Class = "transient"  // not done, or not done completely: try again later
	Capacity   Class = "capacity"   // the element has no room for it
	Validation Class = "validation" // it can never succeed as it is asked for
	Conflict   Class = "conflict"   // it contradicts what the element has
	Auth       Class = "auth"       // the element does not accept us
	Unknown    Class = "unknown"    // done or not: the reply was lost and the element could not be asked again
)

// Error is a failed operation.
type Error struct {
	Class      Class
	Reason     string        // in the user's words
	RetryAfter time.Duration // earliest sensible next try, if it is known
	Unsent     bool          // the element was not asked: there was no attempt, and it may be made any time later
	Err        error         // for the log; holds no secrets
}

func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Reason
	case e.Reason == "":
		return e.Err.Error()
	}
	return e.Reason + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// ClassOf finds the class in an error chain. An error without one that comes from the caller's context is Transient, any other
// Unknown: nobody knows what was done.
func ClassOf(err error) Class {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Class
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Transient
	}
	return Unknown
}

// Retryable tells whether trying the same again may succeed without anybody changing anything.
func (c Class) Retryable() bool { return c == Transient || c == Capacity || c == Unknown }
