package revenue_test

import (
	"fmt"
	"testing"

	"tandem/kit/store"
)

// use writes usage as the projector does: records of an account, of a file or none.
func (h *house) use(session string, file, records, nano int64) {
	h.Helper()
	at := store.Micros(now.AddDate(0, 0, -2))
	h.sql(`INSERT INTO charging_usage (tenant, account, subscriber, service, session, part, cause, rating_group, tariff, rate, seconds, octets, octets_in, octets_out, events, money, called, network,
		first_at, last_at, shard, record, at, file, records) VALUES ($1, (SELECT number FROM charging_account WHERE tenant = $1), 1, 2, $2, 0, '', 0, 1, 0, 60, 0, 0, 0, 0, $3, '', 0, $4, $4, 0, 1, $4, $5, $6)`, session, nano, at, file, records)
}

func (h *house) file(number, sequence int64) {
	h.Helper()
	at := store.Micros(now.AddDate(0, 0, -2))
	h.sql(`INSERT INTO charging_file (tenant, source, name, format, sequence, hash, size, state, reason, records, skipped, charged, duplicates, suspended, late, missing, first_at, last_at, progress, marked_at, seen_at)
		VALUES ($1, 'msc1', 'f', 'csv', $2, $4, 1, 'taken', '', 1, 0, 1, 0, 0, 0, 0, $3, $3, 1, $3, $3)`, sequence, at, fmt.Sprint(sequence))
	var n int64
	h.read(func(tx *store.Tx) error {
		return tx.Row("SELECT number FROM charging_file WHERE tenant = $1 AND sequence = $2", sequence).Scan(&n)
	})
	h.use("file", n, 10, number*1e9)
}

func TestUsageThatIsMissingTwiceOrInSuspense(t *testing.T) {
	each(t, func(h *house) {
		h.sql("INSERT INTO charging_account (tenant, id, customer, billing_account, mode, currency, opened_at) VALUES ($1, 'w', 'ada', '', 1, 'EUR', 1)")
		h.file(2, 1) // files of 2, 4 and 6 EUR, of ten records each
		h.file(4, 2)
		h.clean("R8", "R10", "R12")
		h.file(6, 5)
		h.finds("R8", "fileGap leakage 8.00 msc1/3") // two files of 4 EUR
		at := store.Micros(now.AddDate(0, 0, -3))
		for record := range int64(3) {
			h.sql(`INSERT INTO charging_case (tenant, source, session, record_number, part, reason, first_reason, state, doc, attempts, file, at, changed_at)
				VALUES ($1, 'msc1', 's', $2, 0, 'unknownSubscriber', 'unknownSubscriber', 'open', '{}', 0, 1, $3, $3)`, record, at)
		}
		h.finds("R12", "inSuspense leakage 1.20 msc1/unknownSubscriber") // three of 0.40 EUR
		h.use("call-1", 0, 1, 3e8)
		h.clean("R10")
		h.use("call-1", 0, 1, 3e8)
		h.finds("R10", "chargedTwice overcharge 0.30 ada/call-1")
		h.sql("UPDATE charging_case SET state = 'charged' WHERE tenant = $1")
		h.clean("R12")
	})
}
