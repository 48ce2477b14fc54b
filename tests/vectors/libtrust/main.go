// Command libtrust is the reference that revstore-async is compared with: Docker's own library, asked what it
// writes, what it accepts and how it merges.
//
//	libtrust make KEYS OUT    write signed documents, merges, and expectations.json about them
//	libtrust verify FILE...   one JSON line for each document: accepted or not, and by which keys
//	libtrust serve            the same and more for JSON lines on stdin, one answer a line
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/docker/libtrust"
)

const signatures = "signatures"

// question is one line on stdin; byte slices are base64 in JSON.
type question struct {
	Op        string          `json:"op"`
	Documents [][]byte        `json:"documents"`
	Payload   []byte          `json:"payload"`
	Key       json.RawMessage `json:"key"`
	Chain     string          `json:"chain"`
}

// answer is one line on stdout.
type answer struct {
	OK       bool     `json:"ok"`
	Error    string   `json:"error,omitempty"`
	Kids     []string `json:"kids,omitempty"`
	Payload  []byte   `json:"payload,omitempty"`
	Document []byte   `json:"document,omitempty"`
	Blobs    [][]byte `json:"blobs,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "libtrust:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "make":
		return makeVectors(args[1], args[2])
	case len(args) > 1 && args[0] == "verify":
		return verifyFiles(args[1:])
	case len(args) == 1 && args[0] == "serve":
		return serve()
	}
	return fmt.Errorf("usage: libtrust make KEYS OUT | verify FILE... | serve")
}

func verifyFiles(names []string) error {
	out := json.NewEncoder(os.Stdout)
	refused := 0
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		result := ask(question{Op: "verify", Documents: [][]byte{content}})
		if !result.OK {
			refused++
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d documents refused", refused, len(names))
	}
	return nil
}

func serve() error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	lines := json.NewDecoder(in)
	for lines.More() {
		var asked question
		if err := lines.Decode(&asked); err != nil {
			return err
		}
		if err := out.Encode(ask(asked)); err != nil {
			return err
		}
	}
	return nil
}

// ask answers one question. The library panics on some documents; that is an answer too.
func ask(asked question) (result answer) {
	defer func() {
		if cause := recover(); cause != nil {
			result = answer{Error: fmt.Sprintf("crashed: %v", cause)}
		}
	}()
	js, err := open(asked)
	if err != nil {
		return answer{Error: err.Error()}
	}
	// Written before it is verified: writing sorts the signatures, and the keys come in their order.
	document, err := js.PrettySignature(signatures)
	if err != nil {
		return answer{Error: err.Error()}
	}
	blobs, err := js.Signatures()
	if err != nil {
		return answer{Error: err.Error()}
	}
	keys, err := js.Verify()
	if err != nil {
		return answer{Error: err.Error()}
	}
	payload, err := js.Payload()
	if err != nil {
		return answer{Error: err.Error()}
	}
	result = answer{OK: true, Payload: payload, Document: document, Blobs: blobs}
	for _, key := range keys {
		result.Kids = append(result.Kids, key.KeyID())
	}
	return result
}

func open(asked question) (*libtrust.JSONSignature, error) {
	switch asked.Op {
	case "sign":
		return signJWK(asked)
	case "verify", "merge":
		return merge(asked.Documents)
	}
	return nil, fmt.Errorf("no such operation: %q", asked.Op)
}

func merge(documents [][]byte) (*libtrust.JSONSignature, error) {
	var first *libtrust.JSONSignature
	for _, content := range documents {
		js, err := libtrust.ParsePrettySignature(content, signatures)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = js
			continue
		}
		if err := first.Merge(js); err != nil {
			return nil, err
		}
	}
	if first == nil {
		return nil, fmt.Errorf("no documents")
	}
	return first, nil
}

func signJWK(asked question) (*libtrust.JSONSignature, error) {
	key, err := libtrust.UnmarshalPrivateKeyJWK(asked.Key)
	if err != nil {
		return nil, err
	}
	js, err := libtrust.NewJSONSignature(asked.Payload)
	if err != nil {
		return nil, err
	}
	return js, signWith(js, key, []byte(asked.Chain))
}

func signWith(js *libtrust.JSONSignature, key libtrust.PrivateKey, chainPEM []byte) error {
	var chain []*x509.Certificate
	for {
		block, rest := pem.Decode(chainPEM)
		if block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		chain, chainPEM = append(chain, certificate), rest
	}
	if len(chain) == 0 {
		return js.Sign(key)
	}
	return js.SignWithChain(key, chain)
}
