package nchf

import "tandem/edge/credit"

// outcomes maps the results of charging: for the whole request a status and the cause of its problem details, for a rating group its
// resultCode (TS 32.291 6.1.7.3, 6.1.6.3.14; TS 29.500 5.2.7.2).
var outcomes = [...]struct {
	status int
	cause  string
	group  string
	title  string
}{
	credit.Success:        {200, "", "SUCCESS", ""},
	credit.Denied:         {403, "END_USER_REQUEST_DENIED", "END_USER_SERVICE_DENIED", "The service is denied to the user"},
	credit.NotApplicable:  {403, "CHARGING_NOT_APPLICABLE", "QUOTA_MANAGEMENT_NOT_APPLICABLE", "The service is not charged"},
	credit.LimitReached:   {403, "QUOTA_LIMIT_REACHED", "QUOTA_LIMIT_REACHED", "The credit or limit of the user is used up"},
	credit.UnknownUser:    {404, "USER_UNKNOWN", "END_USER_SERVICE_REJECTED", "The subscriber is not known"},
	credit.RatingFailed:   {400, "CHARGING_FAILED", "RATING_FAILED", "The service cannot be rated"},
	credit.UnknownSession: {404, "RESOURCE_CONTEXT_NOT_FOUND", "END_USER_SERVICE_REJECTED", "The charging session is not known"},
	credit.BadValue:       {400, "CHARGING_FAILED", "RATING_FAILED", "A value cannot be charged"},
	credit.Missing:        {400, causeMissing, "RATING_FAILED", "Something is missing"},
	credit.Unsupported:    {400, causeWrong, "RATING_FAILED", "Something is not supported"},
	credit.Busy:           {503, "NF_CONGESTION", "END_USER_SERVICE_REJECTED", "Too busy, try again later"},
	credit.Failed:         {500, "SYSTEM_FAILURE", "END_USER_SERVICE_REJECTED", "Charging has failed"},
	credit.Clash:          {400, "CHARGING_FAILED", "END_USER_SERVICE_REJECTED", "The sequence number was used for another request"},
}

func known(r credit.Result) credit.Result {
	if int(r) < len(outcomes) {
		return r
	}
	return credit.Failed
}

// resultOfCause is the way back, for the client.
func resultOfCause(status int, cause []byte) credit.Result {
	for r := range outcomes {
		if o := &outcomes[r]; o.status == status && o.cause == string(cause) {
			return credit.Result(r)
		}
	}
	switch {
	case status == 404:
		return credit.UnknownSession
	case status == 403:
		return credit.Denied
	case status == 503 || status == 429:
		return credit.Busy
	case status/100 == 4:
		return credit.BadValue
	}
	return credit.Failed
}

// resultOfGroup reads a resultCode of a rating group; an unknown one is no grant.
func resultOfGroup(code []byte) credit.Result {
	for r := range outcomes {
		if outcomes[r].group == string(code) {
			return credit.Result(r)
		}
	}
	switch string(code) {
	case "USER_UNKNOWN":
		return credit.UnknownUser
	case "QUOTA_MANAGEMENT":
		return credit.Success
	}
	return credit.Failed
}
