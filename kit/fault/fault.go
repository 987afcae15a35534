// Package fault is the one vocabulary of refusals: every room says what is wrong
// in one of a few kinds, with a stable code for programs and a reason in the
// user's words. One table maps kinds to HTTP statuses and TMF630 error bodies.
//
//	room: fault.Invalid("offeringRetired", "Offering %q is retired", name)
//	  └─> kit/tmf: 400 {"code":"offeringRetired","reason":"Offering ..."}
package fault

import (
	"errors"
	"fmt"
)

// Kind says whose turn it is: the caller's (Invalid ... TooMany) or ours.
type Kind int

const (
	Internal     Kind = iota // our defect: logged in full, told in one sentence
	Invalid                  // the request can never succeed as it is
	Unauthorized             // who are you?
	Forbidden                // we know you, and you may not
	NotFound                 // no such thing within the caller's tenant
	Conflict                 // right request, wrong state
	Precondition             // If-Match named another revision
	TooLarge                 // a limit on size or depth
	Unsupported              // media type or operation not offered
	TooMany                  // rate limit
	Unavailable              // try again later: store, element or peer is away
)

var names = [...]string{"internal", "invalid", "unauthorized", "forbidden", "notFound", "conflict",
	"precondition", "tooLarge", "unsupported", "tooMany", "unavailable"}

func (k Kind) String() string { return names[k] }

// Error is a refusal. Reason is shown to people; Err is for the log only.
type Error struct {
	Kind   Kind
	Code   string
	Reason string
	Err    error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

func (e *Error) Unwrap() error { return e.Err }

// New builds a refusal of the given kind; reason is a format.
func New(k Kind, code, reason string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Reason: fmt.Sprintf(reason, args...)}
}

// BadInput refuses a request that can never succeed as it is.
func BadInput(code, reason string, args ...any) error { return New(Invalid, code, reason, args...) }

// Missing says that a thing is not there for this caller.
func Missing(what, id string) error {
	return New(NotFound, "notFound", "There is no %s with id %q", what, id)
}

// Clash says that the thing's present state forbids the request.
func Clash(code, reason string, args ...any) error { return New(Conflict, code, reason, args...) }

// Denied says that the caller's roles do not allow the request.
func Denied(code, reason string, args ...any) error { return New(Forbidden, code, reason, args...) }

// Away says that something needed is out of reach for now; err is for the log.
func Away(err error, reason string, args ...any) error {
	e := New(Unavailable, "unavailable", reason, args...)
	e.Err = err
	return e
}

// Of finds the refusal in an error chain; anything else is Internal.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: "internal", Reason: "Something went wrong on our side; it has been logged", Err: err}
}

// Is reports whether err is a refusal of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// Wrap names the function in the error path once: defer fault.Wrap(&err, "order.Place(%s)", id).
// Refusals keep their kind, code and reason.
func Wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf(format+": %w", append(args, *err)...)
	}
}

// At says which part of a request a refusal is about: its kind and code stay.
func At(where string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", where, err)
	}
	return &Error{Kind: e.Kind, Code: e.Code, Reason: where + ": " + e.Reason, Err: e.Err}
}
