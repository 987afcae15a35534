package hlr

import "errors"

// Kind is what went wrong, as far as the caller's next step depends on it. Test with errors.Is(err, hlr.Exists).
type Kind string

// The kinds of failure. Only after Lost and Timeout is the outcome unknown: read back before a retry.
const (
	Exists       Kind = "subscriber already exists"
	NoSubscriber Kind = "no such subscriber"
	NumberInUse  Kind = "MSISDN is in use" // CTRL tells only that the update failed; InfoByMSISDN tells who holds it
	InvalidIMSI  Kind = "invalid IMSI"
	InvalidValue Kind = "invalid value"
	NotSent      Kind = "not sent"        // the element has not seen the command
	Lost         Kind = "connection lost" // after the command was sent
	Timeout      Kind = "no answer in time"
	Protocol     Kind = "protocol error" // the reply makes no sense; the command was executed or not
	Refused      Kind = "refused"        // any other error text of the element
)

func (k Kind) Error() string { return string(k) }

// Error is a failed command.
type Error struct {
	Kind    Kind
	Command string // verb and variable, never a value
	Text    string // the element's own words, if it spoke
	Cause   error  // of NotSent, Lost and Timeout
}

func (e *Error) Error() string {
	s := "hlr: " + e.Command + ": " + string(e.Kind)
	if e.Text != "" {
		s += " (" + e.Text + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the kind and the cause to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// OutcomeUnknown tells whether the element may or may not have executed the command that failed with err.
func OutcomeUnknown(err error) bool {
	return errors.Is(err, Lost) || errors.Is(err, Timeout) || errors.Is(err, Protocol)
}

// kindOf maps the element's error texts (osmo-hlr 1.5.0) to kinds.
var kindOf = map[string]Kind{
	"Subscriber already exists.":                     Exists,
	"Subscriber doesn't exist.":                      NoSubscriber,
	"No such subscriber.":                            NoSubscriber,
	"Update MSISDN failed":                           NumberInUse,
	"Invalid IMSI value.":                            InvalidIMSI,
	"Invalid value part of 'by-xxx-value' selector.": InvalidValue,
	"Value failed verification.":                     InvalidValue,
	"Invalid format.":                                InvalidValue,
	"Invalid KI.":                                    InvalidValue,
	"Invalid OP/OPC.":                                InvalidValue,
	"Unknown auth algorithm.":                        InvalidValue,
	"SET incomplete":                                 InvalidValue,
	"SET variable contains invalid characters":       InvalidValue,
	"GET variable contains invalid characters":       InvalidValue,
	"Not a known subscriber 'by-xxx-' selector.":     InvalidValue,
	"GET with trailing characters":                   InvalidValue,
}

func refusal(cmd Command, text string) *Error {
	kind, known := kindOf[text]
	if !known {
		kind = Refused
	}
	return &Error{Kind: kind, Command: cmd.name(), Text: text}
}
