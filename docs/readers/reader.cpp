// Reads an artifact without cfzoo, checks it, and classifies cubes: reader MODEL [CUBES]
//
// See reader.mjs, of which this is the same in C++17 with onnxruntime's C API, OpenSSL and nlohmann's
// JSON: g++ -std=c++17 reader.cpp -o reader -lonnxruntime -lcrypto
#include <onnxruntime_c_api.h>
#include <openssl/evp.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

using Json = nlohmann::json;

const int WRONG_INPUT = 2, REFUSED = 3;
const std::string SEAL("\x72\x50\x0a\x0c" "cfzoo.digest" "\x12\x40");
const double TOLERANCE = 1e-4, MAX_TOLERANCE = 1e-2;
const OrtApi *api = nullptr;

struct Failure {
    int code;
    std::string reason;
};

void check(OrtStatus *status) {
    if (!status) return;
    const std::string reason = api->GetErrorMessage(status);
    api->ReleaseStatus(status);
    throw Failure{REFUSED, "onnxruntime does not run the model: " + reason};
}

std::string read(const char *path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Failure{WRONG_INPUT, std::string(path) + " cannot be read."};
    return {std::istreambuf_iterator<char>(file), {}};
}

// The last 64 bytes are the SHA-256 of every byte before them, as the value of a metadata entry.
void check_digest(const std::string &bytes) {
    const size_t end = bytes.size() < 64 ? 0 : bytes.size() - 64;
    if (end < SEAL.size() || bytes.compare(end - SEAL.size(), SEAL.size(), SEAL) != 0)
        throw Failure{REFUSED, "The file does not end in a digest: no artifact, or incomplete."};
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[65];
    EVP_Digest(bytes.data(), end, digest, nullptr, EVP_sha256(), nullptr);
    for (int i = 0; i < 32; ++i) std::snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (bytes.compare(end, 64, text) != 0)
        throw Failure{REFUSED, "The digest does not fit the file: it was changed or damaged."};
}

std::vector<float> decode_cube(const std::string &text) {
    std::string raw(text.size() / 4 * 3 + 3, '\0');
    auto *to = reinterpret_cast<unsigned char *>(&raw[0]);
    auto *from = reinterpret_cast<const unsigned char *>(text.data());
    const int size = EVP_DecodeBlock(to, from, static_cast<int>(text.size()));
    if (size < 0) throw Failure{REFUSED, "The cube of the test vector is not base64."};
    raw.resize(size - std::count(text.end() - std::min<size_t>(2, text.size()), text.end(), '='));
    std::vector<float> cube;
    for (size_t i = 0; i + 1 < raw.size(); i += 2) cube.push_back(to[i] + 256.0f * to[i + 1]);
    return cube;
}

Json read_metadata(const OrtSession *session, const char *key) {
    OrtModelMetadata *metadata;
    OrtAllocator *allocator;
    char *value;
    check(api->SessionGetModelMetadata(session, &metadata));
    check(api->GetAllocatorWithDefaultOptions(&allocator));
    check(api->ModelMetadataLookupCustomMetadataMap(metadata, allocator, key, &value));
    api->ReleaseModelMetadata(metadata);
    return Json::parse(value ? value : "");
}

size_t product(const std::vector<int64_t> &shape) {
    return std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<size_t>());
}

std::vector<float> ask(OrtSession *session, float *cubes, const std::vector<int64_t> &shape) {
    OrtMemoryInfo *memory;
    OrtValue *input, *output = nullptr;
    float *data;
    check(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
    check(api->CreateTensorWithDataAsOrtValue(
        memory, cubes, product(shape) * sizeof(float), shape.data(), shape.size(),
        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
    const char *from = "cubes", *to = "probability";
    check(api->Run(session, nullptr, &from, &input, 1, &to, 1, &output));
    check(api->GetTensorMutableData(output, reinterpret_cast<void **>(&data)));
    std::vector<float> answers(data, data + 2 * shape[0]);
    for (OrtValue *value : {input, output}) api->ReleaseValue(value);
    api->ReleaseMemoryInfo(memory);
    return answers;
}

void run(int count, char **words) {
    if (count < 2) throw Failure{WRONG_INPUT, "Usage: reader MODEL [CUBES]"};
    const std::string bytes = read(words[1]), raw = count > 2 ? read(words[2]) : "";
    check_digest(bytes);
    OrtEnv *env;
    OrtSession *session;
    if (!(api = OrtGetApiBase()->GetApi(ORT_API_VERSION)))
        throw Failure{WRONG_INPUT, "The library onnxruntime is older than its header."};
    check(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "reader", &env));
    check(api->CreateSessionFromArray(env, bytes.data(), bytes.size(), nullptr, &session));
    const Json card = read_metadata(session, "cfzoo.card"), test = read_metadata(session, "cfzoo.test");
    std::vector<int64_t> shape{1, static_cast<int64_t>(card.at("channels").size())};
    for (const auto &n : card.at("cube_shape")) shape.push_back(n.get<int64_t>());
    const size_t size = product(shape);
    std::vector<float> cube = decode_cube(test.at("cube").get<std::string>());
    const auto expected = test.at("output").get<std::vector<double>>();
    if (card.at("schema").get<std::string>().substr(0, 2) != "1." || cube.size() != size ||
        expected.size() != 2)
        throw Failure{REFUSED, "The card has another schema, or the test vector another size."};
    double difference = 0;
    const std::vector<float> answer = ask(session, cube.data(), shape);
    for (int i = 0; i < 2; ++i)  // so that NaN stays
        if (!(std::fabs(answer[i] - expected[i]) <= difference))
            difference = std::fabs(answer[i] - expected[i]);
    const double stated = card.value(Json::json_pointer("/metrics/parity/tolerance"), 0.0);
    if (!(difference <= std::min(std::max(TOLERANCE, stated), MAX_TOLERANCE)))
        throw Failure{REFUSED, "The answer to the test vector is not reproduced here."};
    std::vector<float> cubes(raw.size() / sizeof(float));
    std::memcpy(cubes.data(), raw.data(), cubes.size() * sizeof(float));
    if (raw.size() % (size * sizeof(float)))
        throw Failure{WRONG_INPUT, std::string(words[2]) + " holds no whole number of cubes."};
    std::printf("%s %s\ntest vector: %.1e\n", card.at("name").get<std::string>().c_str(),
                card.at("version").get<std::string>().c_str(), difference);
    for (size_t start = 0; start < cubes.size(); start += 32 * size) {
        shape[0] = std::min<size_t>(32, (cubes.size() - start) / size);
        const std::vector<float> answers = ask(session, &cubes[start], shape);
        for (size_t i = 1; i < answers.size(); i += 2) std::printf("%.9g\n", answers[i]);
    }
}

int main(int count, char **words) {
    try {
        run(count, words);
    } catch (const Failure &failure) {
        std::fprintf(stderr, "%s\n", failure.reason.c_str());
        return failure.code;
    } catch (const Json::exception &error) {
        std::fprintf(stderr, "The card or the test vector cannot be read: %s\n", error.what());
        return REFUSED;
    }
}
