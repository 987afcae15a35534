package diameter

import "tandem/edge/credit"

// Result-Codes (RFC 6733 7.1, RFC 8506 9).
const (
	resultSuccess         = 2001
	resultLimitedSuccess  = 2002
	resultCommand         = 3001 // E bit from here
	resultUndeliverable   = 3002
	resultRealm           = 3003
	resultBusy            = 3004
	resultApplication     = 3007
	resultHeaderBits      = 3008
	resultUnknownPeer     = 3010 // to here
	resultDenied          = 4010
	resultNotApplicable   = 4011
	resultLimitReached    = 4012
	resultUnsupported     = 5001
	resultUnknownSession  = 5002
	resultBadValue        = 5004
	resultMissing         = 5005
	resultNotAllowed      = 5008
	resultTooOften        = 5009
	resultNoCommon        = 5010
	resultVersion         = 5011
	resultUnable          = 5012
	resultAVPLength       = 5014
	resultMessageLength   = 5015
	resultUserUnknown     = 5030
	resultRatingFailed    = 5031
	firstError, endErrors = 3000, 4000
)

// resultCodes maps the results of charging: for the whole message, and for one Multiple-Services-Credit-Control, where protocol errors
// cannot stand.
var resultCodes = [...]struct{ message, group uint32 }{
	credit.Success:        {resultSuccess, resultSuccess},
	credit.Denied:         {resultDenied, resultDenied},
	credit.NotApplicable:  {resultNotApplicable, resultNotApplicable},
	credit.LimitReached:   {resultLimitReached, resultLimitReached},
	credit.UnknownUser:    {resultUserUnknown, resultUserUnknown},
	credit.RatingFailed:   {resultRatingFailed, resultRatingFailed},
	credit.UnknownSession: {resultUnknownSession, resultUnknownSession},
	credit.BadValue:       {resultBadValue, resultBadValue},
	credit.Missing:        {resultMissing, resultMissing},
	credit.Unsupported:    {resultUnsupported, resultUnsupported},
	credit.Busy:           {resultBusy, resultUnable},
	credit.Failed:         {resultUnable, resultUnable},
	credit.Clash:          {resultUnable, resultUnable},
}

func messageCode(r credit.Result) uint32 {
	if int(r) < len(resultCodes) {
		return resultCodes[r].message
	}
	return resultUnable
}

func groupCode(r credit.Result) uint32 {
	if int(r) < len(resultCodes) {
		return resultCodes[r].group
	}
	return resultUnable
}

// protocolError tells the codes that are sent with the E flag and in the short form.
func protocolError(code uint32) bool { return code >= firstError && code < endErrors }

// resultOf is the way back, for the client.
func resultOf(code uint32) credit.Result {
	for r, c := range resultCodes {
		if c.message == code {
			return credit.Result(r)
		}
	}
	if code/1000 == 2 {
		return credit.Success
	}
	return credit.Failed
}

// outcomes of what we told a client (RFC 8506 5.5): 2002 announces a report; an undeliverable request is as good as none.
func outcomeOf(code uint32) credit.Outcome {
	switch {
	case code/1000 == 2:
		return credit.Accepted
	case code == resultUnknownSession:
		return credit.Gone
	case protocolError(code):
		return credit.NoAnswer
	}
	return credit.Refused
}
