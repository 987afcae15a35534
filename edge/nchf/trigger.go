package nchf

import "tandem/edge/credit"

// armed gives trigger types the numbers of Trigger-Type (TS 32.299 7.2.233), by which the core speaks of them.
var armed = []struct {
	name   string
	number uint32
}{
	{"QOS_CHANGE", 2}, {"USER_LOCATION_CHANGE", 3}, {"RAT_CHANGE", 4}, {"UE_TIMEZONE_CHANGE", 5}, {"PLMN_CHANGE", 30},
	{"TAI_CHANGE", 35}, {"ECGI_CHANGE", 36}, {"SERVING_NODE_CHANGE", 61}, {"CHANGE_OF_UE_PRESENCE_IN_PRESENCE_REPORTING_AREA", 73},
}

func triggerName(number uint32) string {
	for i := range armed {
		if armed[i].number == number {
			return armed[i].name
		}
	}
	return ""
}

// reasonNames are the triggers that are reasons of a report by themselves (TS 32.255 5.2.1.2, table 5.2.1.4.1).
var reasonNames = [...]string{credit.Threshold: "QUOTA_THRESHOLD", credit.HoldingTime: "QHT", credit.Final: "FINAL",
	credit.Exhausted: "QUOTA_EXHAUSTED", credit.ValidityTime: "VALIDITY_TIME", credit.OtherQuota: "OTHER_QUOTA_TYPE",
	credit.Forced: "FORCED_REAUTHORISATION", credit.UnusedTimer: "UNIT_COUNT_INACTIVITY_TIMER"}

// reasonOf says why a trigger lets a consumer report. Starts, limits and switches are no change of condition; anything unknown is
// taken for one, so that it is priced anew.
func reasonOf(name []byte) (reason credit.Reason, number uint32) {
	switch string(name) {
	case "UNUSED_QUOTA_TIMER":
		return credit.UnusedTimer, 0
	case "", "START_OF_SERVICE_DATA_FLOW", "START_OF_SDF_ADDITIONAL_ACCESS", "TARIFF_TIME_CHANGE", "VOLUME_LIMIT", "TIME_LIMIT",
		"EVENT_LIMIT", "MAX_NUMBER_OF_CHANGES_IN_CHARGING_CONDITIONS", "MANAGEMENT_INTERVENTION":
		return credit.NoReason, 0
	case "ABNORMAL_RELEASE":
		return credit.Final, 0
	}
	for r, n := range reasonNames {
		if n != "" && n == string(name) {
			return credit.Reason(r), 0
		}
	}
	for i := range armed {
		if armed[i].name == string(name) {
			return credit.Condition, armed[i].number
		}
	}
	return credit.Condition, 0
}

// triggerList reads triggers; the first reason counts. switched: a tariff switch is among them.
func (r *reading) triggerList(reason *credit.Reason, changed *[]uint32) (switched bool) {
	for a := r.array(); r.more(&a); {
		for o := r.object(); r.more(&o); {
			if string(r.key) != "triggerType" {
				r.skip()
				continue
			}
			name := r.str()
			switched = switched || string(name) == "TARIFF_TIME_CHANGE"
			why, number := reasonOf(name)
			if *reason == credit.NoReason {
				*reason = why
			}
			if number != 0 {
				*changed = append(*changed, number)
			}
		}
	}
	return switched
}
