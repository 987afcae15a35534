package card

import (
	"errors"
	"time"

	"tandem/kit/fault"
)

// failure is an error of a call after which it matters whether money moved.
type failure struct {
	unknown bool
	after   time.Duration
	err     error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Unknown tells whether money may have moved although the call failed: Ask.
func Unknown(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.unknown
}

// Transient tells whether the call failed for the moment and no money moved: the same
// attempt may be sent again.
func Transient(err error) bool {
	var f *failure
	return errors.As(err, &f) && !f.unknown
}

// RetryAfter is how long the gateway wants to be left alone, 0 if it did not say.
func RetryAfter(err error) time.Duration {
	var f *failure
	if errors.As(err, &f) {
		return f.after
	}
	return 0
}

func unknown(err error, reason string, args ...any) error {
	return &failure{unknown: true, err: fault.Away(err, reason, args...)}
}

func transient(err error, after time.Duration, reason string, args ...any) error {
	return &failure{after: after, err: fault.Away(err, reason, args...)}
}
