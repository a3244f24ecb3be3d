package openfga

import (
	"context"
	"fmt"
	"strconv"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"deputy/authz/fga"
)

// What an OpenFGA server takes unless its operator raised it.
const (
	maxChecks = 50        // in one batch
	maxBatch  = 384 << 10 // bytes of one batch; the server takes 512 KiB
	parallel  = 4         // batches under way at once
)

// BatchCheck answers all questions: answer i belongs to question i. They go
// out in several requests if they must, so that, unlike fga.Engine, a write may
// fall between two of them. If one request fails, no question is answered.
func (c *Client) BatchCheck(ctx context.Context, qs []fga.Query) []fga.Answer {
	out := make([]fga.Answer, len(qs))
	if err := c.batch(ctx, qs, out); err != nil {
		for i := range out {
			out[i] = fga.Answer{Err: err}
		}
	}
	return out
}

func (c *Client) batch(ctx context.Context, qs []fga.Query, out []fga.Answer) error {
	m, err := c.current()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, items := range m.split(qs, out) {
		g.Go(func() error {
			in := &openfgav1.BatchCheckRequest{AuthorizationModelId: m.id, Consistency: consistency, Checks: items}
			answer, err := c.askRaw(ctx, c.path("batch-check"), in)
			if err != nil {
				return err
			}
			return c.readBatch(answer, items, out)
		})
	}
	return g.Wait()
}

// split makes the requests. A question that cannot be sent has its answer.
func (m *model) split(qs []fga.Query, out []fga.Answer) (batches [][]*openfgav1.BatchCheckItem) {
	var batch []*openfgav1.BatchCheckItem
	var laid *facts
	size := 0
	for i, q := range qs {
		if laid == nil || !laid.madeOf(q.Contextual) {
			laid = m.lay(q.Contextual) // usually one slice for all
		}
		item, err := m.item(q, laid)
		if err != nil {
			out[i].Err = err
			continue
		}
		item.CorrelationId = strconv.Itoa(i)
		n := proto.Size(item)
		if len(batch) == maxChecks || len(batch) > 0 && size+n > maxBatch {
			batches, batch, size = append(batches, batch), nil, 0
		}
		batch, size = append(batch, item), size+n
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches
}

// readBatch takes an answer for what it is only if it answers what was asked,
// each question once, and nothing else. (That no id is there twice is seen
// while the JSON is read.)
func (w *wire) readBatch(answer []byte, items []*openfgav1.BatchCheckItem, out []fga.Answer) error {
	in := &openfgav1.BatchCheckResponse{}
	if err := w.decode(answer, in); err != nil {
		return err
	}
	if len(in.GetResult()) != len(items) {
		return w.odd("it answers %d of %d questions", len(in.GetResult()), len(items))
	}
	for _, item := range items {
		result, ok := in.GetResult()[item.GetCorrelationId()]
		if !ok {
			return w.odd("it does not answer question %s but another, which was not asked", item.GetCorrelationId())
		}
		i, err := strconv.Atoi(item.GetCorrelationId())
		if err != nil || i >= len(out) {
			return fmt.Errorf("question %s has no place", item.GetCorrelationId())
		}
		switch r := result.GetCheckResult().(type) {
		case *openfgav1.BatchCheckSingleResult_Allowed:
			out[i] = fga.Answer{Allowed: r.Allowed}
		case *openfgav1.BatchCheckSingleResult_Error:
			out[i] = fga.Answer{Err: w.checkError(r.Error)}
		default:
			return w.odd("its answer to question %s is neither yes nor no", item.GetCorrelationId())
		}
	}
	return nil
}

func (w *wire) checkError(e *openfgav1.CheckError) error {
	if code, ok := e.GetCode().(*openfgav1.CheckError_InputError); ok {
		return w.coded(code.InputError.String(), e.GetMessage())
	}
	if code := e.GetInternalError(); code == openfgav1.InternalErrorCode_deadline_exceeded {
		return fmt.Errorf("OpenFGA at %s ran out of its own time for a question: look at its load and at its database", w.base)
	}
	return fmt.Errorf("OpenFGA at %s cannot answer a question (%s): see its log", w.base, w.clean(e.GetMessage()))
}
