package nchf_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/free5gc/openapi/chf/ConvergedCharging"
	"github.com/free5gc/openapi/chf/SpendingLimitControl"
	"github.com/free5gc/openapi/models"

	"tandem/edge/nchf"
)

// The client of free5GC's SMF walks a session as that SMF does: a create without units, the first units asked for when the first
// service data flow starts, no sequence numbers.
func TestFree5GCWalk(t *testing.T) {
	c := newCore()
	_, addr := serve(t, nchf.Config{}, c)
	cfg := ConvergedCharging.NewConfiguration()
	cfg.SetBasePath("http://" + addr)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	cfg.SetHTTPClient(&http.Client{Transport: &http.Transport{Protocols: p}, Timeout: 10 * time.Second})
	api := ConvergedCharging.NewAPIClient(cfg).DefaultApi
	body := func(at time.Time, usage ...models.ChfConvergedChargingMultipleUnitUsage) models.ChfConvergedChargingChargingDataRequest {
		return models.ChfConvergedChargingChargingDataRequest{
			SubscriberIdentifier: "imsi-208930000000001", ChargingId: 1, InvocationTimeStamp: &at, MultipleUnitUsage: usage, NotifyUri: "http://127.0.0.1/cb",
			NfConsumerIdentification: &models.ChfConvergedChargingNfIdentification{NFName: "2c1a7c2e-8f0e-4a3b-9b1a-3f5d0c6e7a10",
				NodeFunctionality: models.ChfConvergedChargingNodeFunctionality_SMF},
			PDUSessionChargingInformation: &models.ChfConvergedChargingPduSessionChargingInformation{ChargingId: 1,
				UserInformation:       &models.ChfConvergedChargingUserInformation{ServedGPSI: "msisdn-0900000000"},
				PduSessionInformation: &models.ChfConvergedChargingPduSessionInformation{PduSessionID: 1, DnnId: "internet"}},
		}
	}
	now := time.Now().UTC()
	create := func() string {
		t.Helper()
		r := new(ConvergedCharging.PostChargingDataRequest)
		r.SetChfConvergedChargingChargingDataRequest(body(now))
		a, err := api.PostChargingData(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return a.Location[strings.LastIndexByte(a.Location, '/')+1:]
	}
	ref := create()
	if again := create(); again != ref || ref == "" {
		t.Fatalf("a repeated create is at %q, not %q", again, ref)
	}
	update := func(at time.Time, volume int32) {
		t.Helper()
		usage := models.ChfConvergedChargingMultipleUnitUsage{RatingGroup: 1, RequestedUnit: &models.RequestedUnit{TotalVolume: 0},
			UsedUnitContainer: []models.ChfConvergedChargingUsedUnitContainer{{TotalVolume: volume, TriggerTimestamp: &at,
				Triggers: []models.ChfConvergedChargingTrigger{{TriggerType: models.ChfConvergedChargingTriggerType_START_OF_SERVICE_DATA_FLOW,
					TriggerCategory: models.TriggerCategory_IMMEDIATE_REPORT}}}}}
		r := new(ConvergedCharging.UpdateChargingDataRequest)
		r.SetChargingDataRef(ref)
		r.SetChfConvergedChargingChargingDataRequest(body(at, usage))
		a, err := api.UpdateChargingData(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		units := a.ChfConvergedChargingChargingDataResponse.MultipleUnitInformation
		if len(units) != 1 || units[0].RatingGroup != 1 || units[0].GrantedUnit.TotalVolume != 1<<30 || units[0].ResultCode != models.ChfConvergedChargingResultCode_SUCCESS {
			t.Errorf("granted %+v", units)
		}
	}
	update(now.Add(time.Second), 0)
	update(now.Add(2*time.Second), 1000)
	update(now.Add(2*time.Second), 1000) // the same again
	update(now.Add(3*time.Second), 1000) // the same use, later: another report
	r := new(ConvergedCharging.ReleaseChargingDataRequest)
	r.SetChargingDataRef(ref)
	r.SetChfConvergedChargingChargingDataRequest(body(now.Add(4 * time.Second)))
	if _, err := api.ReleaseChargingData(t.Context(), r); err != nil {
		t.Error(err)
	}
	if n := c.used[ref]; n != 2000 {
		t.Errorf("%d octets are charged, not 2000", n)
	}
}

// The client of free5GC's PCF subscribes to policy counters, changes its subscription and
// ends it; what it is told is what it can read.
func TestFree5GCSpendingLimits(t *testing.T) {
	_, addr := serve(t, nchf.Config{Spending: &nchf.Spending{Policy: one{}, Subscriptions: new(shelf)}}, newCore())
	cfg := SpendingLimitControl.NewConfiguration()
	cfg.SetBasePath("http://" + addr)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	cfg.SetHTTPClient(&http.Client{Transport: &http.Transport{Protocols: p}, Timeout: 10 * time.Second})
	api := SpendingLimitControl.NewAPIClient(cfg).DefaultApi
	body := models.SpendingLimitContext{Supi: "imsi-208930000000001", PolicyCounterIds: []string{"data"}, NotifUri: "http://127.0.0.1/n28", NotifId: "n"}
	post := new(SpendingLimitControl.SubscriptionsPostRequest)
	post.SetSpendingLimitContext(body)
	a, err := api.SubscriptionsPost(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	told := func(s models.SpendingLimitStatus) {
		t.Helper()
		info := s.StatusInfos["data"]
		if s.Supi != body.Supi || s.NotifId != "n" || info.CurrentStatus != "valid" || len(info.PenPolCounterStatuses) != 1 ||
			info.PenPolCounterStatuses[0].PolicyCounterStatus != "over" || info.PenPolCounterStatuses[0].ActivationTime.Unix() != 1790000000 {
			t.Errorf("told %+v", s)
		}
	}
	told(a.SpendingLimitStatus)
	id := a.Location[strings.LastIndexByte(a.Location, '/')+1:]
	put := new(SpendingLimitControl.SubscriptionsSubscriptionIdPutRequest)
	put.SetSubscriptionId(id)
	put.SetSpendingLimitContext(body)
	b, err := api.SubscriptionsSubscriptionIdPut(t.Context(), put)
	if err != nil {
		t.Fatal(err)
	}
	told(b.SpendingLimitStatus)
	del := new(SpendingLimitControl.SubscriptionsSubscriptionIdDeleteRequest)
	del.SetSubscriptionId(id)
	if _, err := api.SubscriptionsSubscriptionIdDelete(t.Context(), del); err != nil {
		t.Error(err)
	}
	body.PolicyCounterIds = []string{"data", "roaming"}
	post.SetSpendingLimitContext(body)
	if _, err := api.SubscriptionsPost(t.Context(), post); err == nil {
		t.Error("a counter that nobody knows is subscribed to")
	}
}
