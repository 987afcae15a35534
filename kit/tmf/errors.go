package tmf

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// statuses is the one table from kinds of refusal to HTTP.
var statuses = map[fault.Kind]int{
	fault.Internal:     http.StatusInternalServerError,
	fault.Invalid:      http.StatusBadRequest,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Forbidden:    http.StatusForbidden,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.Precondition: http.StatusPreconditionFailed,
	fault.TooLarge:     http.StatusRequestEntityTooLarge,
	fault.Unsupported:  http.StatusUnsupportedMediaType,
	fault.TooMany:      http.StatusTooManyRequests,
	fault.Unavailable:  http.StatusServiceUnavailable,
}

// errorBody is the TMF630 error: code and reason are mandatory.
type errorBody struct {
	Code    string `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message,omitzero"`
	Status  string `json:"status"`
	Type    string `json:"@type"`
}

// WriteError answers with the TMF630 error body of a refusal. What is not a
// refusal is a defect or an outage: it is logged whole and told in a sentence.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.Of(translate(err))
	status := statuses[f.Kind]
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeError(w, status, f.Code, f.Reason)
}

func writeError(w http.ResponseWriter, status int, code, reason string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	body, err := encode(errorBody{Code: code, Reason: reason, Message: http.StatusText(status), Status: strconv.Itoa(status), Type: "Error"})
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"code":"internal","reason":"Something went wrong on our side"}`)
	}
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away: nobody is left to tell
}

// translate gives the store's outcomes their place among the refusals.
func translate(err error) error {
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return err
	}
	var unique *store.Unique
	switch {
	case errors.As(err, &unique):
		return fault.Clash("alreadyExists", "Something with this id or number exists already")
	case errors.Is(err, store.ErrStale):
		return fault.Clash("changedMeanwhile", "The resource was changed by someone else in the meantime; read it again and retry")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrAway):
		return fault.Away(err, "The request could not be finished in time; try again")
	}
	return err
}
