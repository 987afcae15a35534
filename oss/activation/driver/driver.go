package driver

import (
	"context"
	"time"
)

// Desired is what a resource on an element shall be.
type Desired struct {
	Type       string            // "hlrSubscriber"
	Key        string            // what the element knows the resource by: the IMSI
	Absent     bool              // it shall not be there; the rest does not count then
	Attributes map[string]string // only those named are managed
	Secrets    map[string]Secret
}

// Observed is what the element has. It holds no secrets.
type Observed struct {
	Type, Key  string
	Present    bool
	Attributes map[string]string
}

// Driver drives one element. Its methods may be called concurrently, for different keys. Every error is an *Error.
type Driver interface {
	// Ensure makes the resource as desired; see the contract in the package's description.
	Ensure(ctx context.Context, d Desired) (Observed, error)
	// Observe reads one resource. That it is absent is no error.
	Observe(ctx context.Context, typ, key string) (Observed, error)
	// List hands every resource of a type to each, in the element's order, and stops at its first error, which it returns.
	List(ctx context.Context, typ string, each func(Observed) error) error
	// Close waits for operations under way and ends all connections.
	Close() error
}

// Endpoint says where an element is and how it may be used.
type Endpoint struct {
	Address     string        // host:port of the provisioning interface
	VTY         string        // host:port of the command line, empty: none
	Connections int           // operations at once; 0: 4
	Patience    time.Duration // how long one exchange may take; 0: 3 s
}

// Factory makes the driver of an element. It does not talk to the element yet.
type Factory func(Endpoint) (Driver, error)
