package openfga

import (
	"strings"
	"testing"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"

	"deputy/authz/fga"
)

// FuzzAnswers: no answer to a batch is a yes that it does not hold, and what
// is not whole is an error.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{`{"result":{"0":{"allowed":true},"1":{"allowed":false}}}`, `{"result":{"0":{"allowed":true}}}`, `{"result":{"0":{},"1":{"allowed":true}}}`,
		`{"result":{"0":{"allowed":false},"0":{"allowed":true}}}`, `{"result":{"0":{"allowed":true},"2":{"allowed":true}}}`, `{"result":null}`, `null`, ``, "{\"result\":{\"object\":\"doc:1\"}}\n{\"error\":{\"code\":3,\"message\":\"no\"}}",
		`{"result":{"0":{"error":{"input_error":"validation_error","message":"no"}},"1":{"error":{"internal_error":"internal_error"}}}}`} {
		f.Add([]byte(seed))
	}
	w := &wire{}
	f.Fuzz(func(t *testing.T, answer []byte) {
		items := []*openfgav1.BatchCheckItem{{CorrelationId: "0"}, {CorrelationId: "1"}}
		out := make([]fga.Answer, 3)
		err := w.readBatch(answer, items, out)
		in := &openfgav1.BatchCheckResponse{}
		decoded := w.decode(answer, in)
		for i, id := range []string{"0", "1"} {
			says := in.GetResult()[id].GetAllowed()
			if out[i].Allowed && (decoded != nil || !says || out[i].Err != nil) {
				t.Errorf("%s: %v", answer, out[i])
			}
			if err == nil && !out[i].Allowed && says {
				t.Errorf("%s: a yes is lost", answer)
			}
		}
		if err == nil && (decoded != nil || len(in.GetResult()) != 2) || out[2] != (fga.Answer{}) {
			t.Errorf("%s: taken for an answer", answer)
		}
		objects, _ := w.readStream(answer, "doc", 2)
		for _, o := range objects {
			if !strings.HasPrefix(o, "doc:") || len(objects) > 2 {
				t.Errorf("%s: %v", answer, objects)
			}
		}
	})
}
