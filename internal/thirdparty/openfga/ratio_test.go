package openfga_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"
	"github.com/openfga/openfga/pkg/server"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/internal/store"
)

// BenchmarkRatio checks the hundred documents of one search result, with
// OpenFGA as a library over its memory store and with authz/fga, on the same
// tuples, and prints how many times faster the latter is.
func BenchmarkRatio(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tuples, users, documents := fgatest.Office(n)
			ours, theirs, request := bothLoaded(b, tuples)
			rng := rand.New(rand.NewPCG(3, 4))
			var took [2][]time.Duration
			for b.Loop() {
				user := fmt.Sprintf("user:%d", rng.IntN(users))
				var qs []fga.Query
				batches := make([]*openfgav1.BatchCheckRequest, 2)
				for i := range 100 {
					q := fga.Query{User: user, Relation: "viewer", Object: fmt.Sprintf("document:%d", rng.IntN(documents))}
					qs = append(qs, q)
					if i%50 == 0 { // as many as its server takes at once
						batches[i/50] = request()
					}
					batches[i/50].Checks = append(batches[i/50].Checks, &openfgav1.BatchCheckItem{
						TupleKey: &openfgav1.CheckRequestTupleKey{User: q.User, Relation: q.Relation, Object: q.Object}, CorrelationId: fmt.Sprint(i)})
				}
				start := time.Now()
				answers := ours.BatchCheck(ctx, qs)
				took[1] = append(took[1], time.Since(start))
				start = time.Now()
				var results []*openfgav1.BatchCheckResponse
				for _, batch := range batches {
					r, err := theirs.BatchCheck(ctx, batch)
					if err != nil {
						b.Fatal(err)
					}
					results = append(results, r)
				}
				took[0] = append(took[0], time.Since(start))
				for i, a := range answers {
					if want := results[i/50].GetResult()[fmt.Sprint(i)]; a.Err != nil || want.GetError() != nil || want.GetAllowed() != a.Allowed {
						b.Fatalf("%v: %v; OpenFGA says %v", qs[i], a, want)
					}
				}
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return float64(d[len(d)/2].Nanoseconds()) / 1000
			}
			b.ReportMetric(median(took[0]), "µs-OpenFGA")
			b.ReportMetric(median(took[1]), "µs-authz/fga")
			b.ReportMetric(median(took[0])/median(took[1]), "times")
		})
	}
}

func bothLoaded(b *testing.B, tuples []fga.Tuple) (*fga.Engine, *server.Server, func() *openfgav1.BatchCheckRequest) {
	m, err := fga.ParseModel(fgatest.OfficeModel)
	if err != nil {
		b.Fatal(err)
	}
	ours, err := fga.Open(store.NewMemory(), "bench", m)
	if err != nil {
		b.Fatal(err)
	}
	if err := ours.Write(ctx, fga.Write{Writes: tuples, IgnoreDuplicates: true}); err != nil {
		b.Fatal(err)
	}
	theirs := newServer(b)
	created, err := theirs.CreateStore(ctx, &openfgav1.CreateStoreRequest{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	proto := transformer.MustTransformDSLToProto(fgatest.OfficeModel)
	model, err := theirs.WriteAuthorizationModel(ctx, &openfgav1.WriteAuthorizationModelRequest{StoreId: created.GetId(), SchemaVersion: "1.1", TypeDefinitions: proto.GetTypeDefinitions()})
	if err != nil {
		b.Fatal(err)
	}
	for chunk := range slices.Chunk(tuples, 100) {
		_, err := theirs.Write(ctx, &openfgav1.WriteRequest{StoreId: created.GetId(), AuthorizationModelId: model.GetAuthorizationModelId(),
			Writes: &openfgav1.WriteRequestWrites{TupleKeys: protos(chunk), OnDuplicate: "ignore"}})
		if err != nil {
			b.Fatal(err)
		}
	}
	return ours, theirs, func() *openfgav1.BatchCheckRequest {
		return &openfgav1.BatchCheckRequest{StoreId: created.GetId(), AuthorizationModelId: model.GetAuthorizationModelId()}
	}
}
