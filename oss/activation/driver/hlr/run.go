package hlr

import (
	"context"
	"errors"
	"fmt"

	"tandem/edge/hlr"
	"tandem/oss/activation/driver"
)

// run is one operation on one subscriber.
type run struct {
	d *Driver
	l *line
	t target

	unsure  bool  // a change was sent, and the state has not been read since
	refused error // the last refusal that reading back did not explain
	failed  error // why the last change or read did not come through
}

// questions are the commands that read the state as far as the target needs it.
func (r *run) questions() []hlr.Command {
	cmds := []hlr.Command{hlr.InfoCommand(r.t.imsi)}
	if r.t.keys != nil {
		cmds = append(cmds, hlr.AuthCommand(r.t.imsi))
	}
	return cmds
}

// read asks for the subscriber, its keys, and who has the desired number.
func (r *run) read(ctx context.Context) (state, error) {
	cmds := r.questions()
	n := len(cmds)
	if r.t.msisdn != nil && *r.t.msisdn != "" {
		cmds = append(cmds, hlr.InfoByMSISDNCommand(*r.t.msisdn))
	}
	replies, err := r.l.do(ctx, cmds)
	if err != nil {
		return state{}, err
	}
	s, err := r.decode(cmds[:n], replies[:n])
	if err == nil && len(cmds) > n {
		s.holder, err = r.decodeHolder(cmds[n], replies[n])
	}
	if err != nil {
		return state{}, err
	}
	r.unsure = false
	return s, nil
}

// decode reads the answers to questions.
func (r *run) decode(cmds []hlr.Command, replies []hlr.Reply) (s state, err error) {
	if errors.Is(replies[0].Err, hlr.NoSubscriber) {
		return state{}, nil
	}
	for _, reply := range replies {
		if reply.Err != nil && !errors.Is(reply.Err, hlr.NoSubscriber) {
			return state{}, r.refusal(reply.Err)
		}
	}
	s.present = true
	if s.sub, err = hlr.ParseInfo(replies[0].Value); err == nil && s.sub.IMSI != r.t.imsi {
		err = errors.New("the answer is about another subscriber")
	}
	if err == nil && len(cmds) > 1 {
		s.auth, err = hlr.ParseAuth(replies[1].Value)
	}
	if err != nil {
		return state{}, fmt.Errorf("%w: %s: %w", errTransport, cmds[0], err)
	}
	return s, nil
}

func (r *run) decodeHolder(cmd hlr.Command, reply hlr.Reply) (imsi string, err error) {
	switch {
	case errors.Is(reply.Err, hlr.NoSubscriber):
		return "", nil
	case reply.Err != nil:
		return "", r.refusal(reply.Err)
	}
	s, err := hlr.ParseInfo(reply.Value)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", errTransport, cmd, err)
	}
	return s.IMSI, nil
}

// change sends what differs between s and the target, and in the same write the questions whose answers it returns.
func (r *run) change(ctx context.Context, s state) (state, error) {
	if left, bars := r.t.bars(s); bars && r.d.end.VTY != "" {
		if err := r.bar(ctx, left); err != nil {
			return state{}, err
		}
		s.sub.CS, s.sub.PS = left.CS, left.PS
	}
	changes := r.t.changes(s)
	questions := r.questions()
	cmds := append(changes, questions...)
	r.unsure = true
	replies, err := r.l.do(ctx, cmds)
	if err != nil && !answered(replies, len(changes)) {
		r.unsure = r.unsure && unknown(replies)
		return state{}, err
	}
	r.failed, r.refused = nil, nil
	again := false
	for i, c := range changes {
		reply := replies[i].Err
		switch {
		case reply == nil, hlr.OutcomeUnknown(reply), errors.Is(reply, hlr.Exists), errors.Is(reply, hlr.NoSubscriber):
			// The questions behind it tell what is true now.
		case errors.Is(reply, hlr.InvalidIMSI), errors.Is(reply, hlr.InvalidValue):
			return state{}, r.refusal(reply)
		case errors.Is(reply, hlr.NumberInUse):
			again = true
			r.refused = reply
		default:
			r.refused = fmt.Errorf("%s: %w", c, reply)
		}
	}
	if again {
		return r.read(ctx) // also who has the number
	}
	r.unsure = false
	return r.decode(questions, replies[len(changes):])
}

// bar takes domains away over the command line, which tells the serving nodes in the same step.
func (r *run) bar(ctx context.Context, left hlr.Access) error {
	var v *vtyLine
	select {
	case v = <-r.d.bar:
		defer func() { r.d.bar <- v }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errTransport, ctx.Err())
	}
	err := v.setAccess(ctx, r.t.imsi, left)
	switch {
	case err == nil, errors.Is(err, hlr.NoSubscriber):
		r.unsure = true
		return nil
	case errors.Is(err, hlr.Refused):
		return r.d.vtyFailure(err)
	}
	r.unsure = r.unsure || hlr.OutcomeUnknown(err)
	return fmt.Errorf("%w: %w", errTransport, err)
}

// answered tells whether every command from the n-th on has its answer, be it a refusal.
func answered(replies []hlr.Reply, n int) bool {
	if len(replies) <= n {
		return false
	}
	for _, r := range replies[n:] {
		if errors.Is(r.Err, hlr.NotSent) || hlr.OutcomeUnknown(r.Err) {
			return false
		}
	}
	return true
}

// unknown tells whether the element may have seen any of the commands.
func unknown(replies []hlr.Reply) bool {
	for _, r := range replies {
		if !errors.Is(r.Err, hlr.NotSent) {
			return true
		}
	}
	return false
}

// refusal classifies what the element refuses for good.
func (r *run) refusal(err error) error {
	if errors.Is(err, hlr.InvalidIMSI) || errors.Is(err, hlr.InvalidValue) {
		return &driver.Error{Class: driver.Validation, Reason: "The register does not accept the data of IMSI " + r.t.imsi, Err: err}
	}
	return &driver.Error{Class: driver.Transient, Reason: "The register refuses the operation on IMSI " + r.t.imsi, Err: err}
}

// verdict is the failure of the whole operation: err is the last step's, nil if the element answers but does not become what it shall be.
func (r *run) verdict(err error) error {
	if err == nil && r.refused != nil {
		return r.refusal(r.refused)
	}
	if err == nil {
		err = r.failed
	}
	switch {
	case err == nil:
		return &driver.Error{Class: driver.Conflict, Reason: fmt.Sprintf("The register at %s says that it changed IMSI %s, but reading it back shows otherwise",
			r.d.end.Address, r.t.imsi)}
	case !errors.Is(err, errTransport):
		return err
	case r.unsure:
		return r.d.fail(driver.Unknown, err)
	}
	return r.d.fail(driver.Transient, err)
}
