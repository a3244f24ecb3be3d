package githubfake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const jsonType = "application/json; charset=utf-8"

// reply is an answer before it is sent. Handlers return it rather than write it, so that a
// fault can still take it away.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (p reply) write(w http.ResponseWriter, truncate bool) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	if p.status == http.StatusNoContent || p.status == http.StatusNotModified {
		w.WriteHeader(p.status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(p.body)))
	w.WriteHeader(p.status)
	body := p.body
	if truncate {
		body = body[:len(body)/2]
	}
	w.Write(body)
}

// jsonReply encodes like GitHub, which leaves < and > in texts as they are.
func jsonReply(status int, v any) reply {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("githubfake: encoding an answer: %v", err)) // only our own types come here
	}
	return reply{
		status: status,
		header: http.Header{"Content-Type": {jsonType}},
		body:   bytes.TrimSuffix(b.Bytes(), []byte("\n")),
	}
}

// problem is the shape of every refusal of the REST API.
type problem struct {
	Message string       `json:"message"`
	Errors  []fieldError `json:"errors,omitempty"`
	DocURL  string       `json:"documentation_url"`
	Status  string       `json:"status"`
}

// fieldError is one entry of a 422.
type fieldError struct {
	Resource string `json:"resource"`
	Field    string `json:"field"`
	Code     string `json:"code"`
	Message  string `json:"message,omitempty"`
	Value    any    `json:"value,omitempty"`
}

func message(status int, text string) reply {
	return jsonReply(status, problem{
		Message: text,
		DocURL:  "https://docs.github.com/rest",
		Status:  strconv.Itoa(status),
	})
}

func invalid(errs ...fieldError) reply {
	return jsonReply(http.StatusUnprocessableEntity, problem{
		Message: "Validation Failed",
		Errors:  errs,
		DocURL:  "https://docs.github.com/rest",
		Status:  "422",
	})
}

// notFound is the one answer for what does not exist and for what may not be seen.
func notFound() reply { return message(http.StatusNotFound, "Not Found") }

func badCredentials() reply { return message(http.StatusUnauthorized, "Bad credentials") }
