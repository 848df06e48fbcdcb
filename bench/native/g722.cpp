// Cost of 20 ms of G.722 a stream beside ffmpeg's libavcodec and spandsp, in turns. Usage:
// sidetone_bench_g722 [WAV] Without a file of speech the signal is noise that swells and falls.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "codec/g722.h"
#include "codec/g722_kernels.h"
#include "resample/resampler.h"
#include "timing.h"
#include "wav.h"

#if defined(HAVE_AVCODEC)
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
}
#endif
#if defined(HAVE_SPANDSP)
#include <spandsp.h>
#endif

using namespace sidetone;

namespace {

constexpr size_t kSamples = 320;
constexpr size_t kBytes = 160;
constexpr size_t kStreams = 64;

std::vector<int16_t> signal(int argc, char** argv) {
  std::vector<int16_t> pcm;
  if (argc > 1) {
    const auto wav = bench::readWav(argv[1]);
    Resampler resampler(wav.rateHz, 16000);
    pcm.resize(resampler.outputMax(wav.samples.size()));
    pcm.resize(resampler.process(wav.samples.data(), wav.samples.size(), pcm.data()));
  } else {
    std::mt19937 random(1);
    for (size_t i = 0; i < 5 * 16000; i++) {
      const double swell = 0.5 + 0.5 * std::sin(static_cast<double>(i) / 3000);
      pcm.push_back(static_cast<int16_t>(swell * 0.4 * static_cast<int16_t>(random())));
    }
  }
  pcm.resize(pcm.size() / (kSamples * kStreams) * (kSamples * kStreams));
  if (pcm.empty()) throw std::runtime_error("the signal is shorter than 64 frames of 20 ms");
  return pcm;
}

#if defined(HAVE_AVCODEC)
/** libavcodec's coder and decoder through its public calls, one packet a frame. */
class Ffmpeg {
 public:
  Ffmpeg() {
    const AVCodec* encoder = avcodec_find_encoder(AV_CODEC_ID_ADPCM_G722);
    const AVCodec* decoder = avcodec_find_decoder(AV_CODEC_ID_ADPCM_G722);
    encoder_ = avcodec_alloc_context3(encoder);
    encoder_->sample_rate = 16000;
    encoder_->sample_fmt = AV_SAMPLE_FMT_S16;
    encoder_->frame_size = kSamples;
    av_channel_layout_default(&encoder_->ch_layout, 1);
    decoder_ = avcodec_alloc_context3(decoder);
    decoder_->sample_rate = 16000;
    av_channel_layout_default(&decoder_->ch_layout, 1);
    if (avcodec_open2(encoder_, encoder, nullptr) < 0 || avcodec_open2(decoder_, decoder, nullptr) < 0) {
      throw std::runtime_error("libavcodec has no G.722");
    }
    pcm_->nb_samples = kSamples;
    pcm_->format = AV_SAMPLE_FMT_S16;
    av_channel_layout_default(&pcm_->ch_layout, 1);
    av_frame_get_buffer(pcm_, 0);
  }
  ~Ffmpeg() {
    avcodec_free_context(&encoder_);
    avcodec_free_context(&decoder_);
    av_frame_free(&pcm_);
    av_frame_free(&heard_);
    av_packet_free(&packet_);
    av_packet_free(&payload_);
  }
  void encode(const int16_t* pcm) {
    av_frame_make_writable(pcm_);
    std::memcpy(pcm_->data[0], pcm, kSamples * sizeof(int16_t));
    avcodec_send_frame(encoder_, pcm_);
    while (avcodec_receive_packet(encoder_, packet_) == 0) av_packet_unref(packet_);
  }
  void decode(uint8_t* payload) {
    payload_->data = payload;
    payload_->size = kBytes;
    avcodec_send_packet(decoder_, payload_);
    while (avcodec_receive_frame(decoder_, heard_) == 0) av_frame_unref(heard_);
  }

 private:
  AVCodecContext* encoder_;
  AVCodecContext* decoder_;
  AVFrame* pcm_ = av_frame_alloc();
  AVFrame* heard_ = av_frame_alloc();
  AVPacket* packet_ = av_packet_alloc();
  AVPacket* payload_ = av_packet_alloc();
};
#endif

/** Times are for a whole pass over the signal; printed for one stream's 20 ms. */
void print(const char* title, std::vector<bench::Contender>& contenders, size_t frames) {
  bench::compare(contenders, 15, 20);
  std::printf("%s, median us of 20 ms (times as fast as each of the others)\n", title);
  for (const auto& contender : contenders) {
    std::printf("  %-28s %6.2f ", contender.name.c_str(),
                contender.medianNs / 1000 / static_cast<double>(frames));
    for (const auto& other : contenders) std::printf("  %5.2f", other.medianNs / contender.medianNs);
    std::printf("\n");
  }
}

int run(int argc, char** argv) {
  const auto pcm = signal(argc, argv);
  const size_t frames = pcm.size() / kSamples;
  std::vector<uint8_t> payload(frames * kBytes);
  G722Encoder reference;
  reference.encode(pcm.data(), pcm.size(), payload.data());

  std::vector<int16_t> heard(kSamples);
  std::vector<uint8_t> coded(kBytes + 16);
  G722Encoder encoder;
  G722Encoder encoderScalar(g722::kernelsScalar());
  G722Decoder decoder;
  G722Decoder decoderScalar(G722Decoder::Mode::k64, g722::kernelsScalar());
  const auto each = [frames](auto body) {
    return [frames, body] {
      for (size_t n = 0; n < frames; n++) body(n);
    };
  };

  // The batch's streams are at different places of the signal: together one pass, as for the others.
  std::vector<G722Encoder> encoders(kStreams);
  std::vector<G722Decoder> decoders(kStreams);
  std::vector<std::vector<uint8_t>> codedRows(kStreams, std::vector<uint8_t>(kBytes));
  std::vector<std::vector<int16_t>> heardRows(kStreams, std::vector<int16_t>(kSamples));
  std::vector<G722Encoder*> encoderList;
  std::vector<G722Decoder*> decoderList;
  std::vector<uint8_t*> codedList;
  std::vector<int16_t*> heardList;
  for (size_t i = 0; i < kStreams; i++) {
    encoderList.push_back(&encoders[i]);
    decoderList.push_back(&decoders[i]);
    codedList.push_back(codedRows[i].data());
    heardList.push_back(heardRows[i].data());
  }
  const size_t batches = frames / kStreams;
  const auto place = [batches](size_t n, size_t stream) { return stream * batches + n; };

  std::vector<bench::Contender> encoding{
      {"sidetone", each([&](size_t n) { encoder.encode(&pcm[n * kSamples], kSamples, coded.data()); })},
      {"sidetone scalar reference",
       each([&](size_t n) { encoderScalar.encode(&pcm[n * kSamples], kSamples, coded.data()); })},
      {"sidetone batch of 64",
       [&] {
         std::vector<const int16_t*> in(kStreams);
         for (size_t n = 0; n < batches; n++) {
           for (size_t i = 0; i < kStreams; i++) in[i] = &pcm[place(n, i) * kSamples];
           g722EncodeBatch(encoderList.data(), in.data(), kSamples, codedList.data(), kStreams);
         }
       }},
  };
  std::vector<bench::Contender> decoding{
      {"sidetone", each([&](size_t n) { decoder.decode(&payload[n * kBytes], kBytes, heard.data()); })},
      {"sidetone scalar reference",
       each([&](size_t n) { decoderScalar.decode(&payload[n * kBytes], kBytes, heard.data()); })},
      {"sidetone batch of 64",
       [&] {
         std::vector<const uint8_t*> in(kStreams);
         for (size_t n = 0; n < batches; n++) {
           for (size_t i = 0; i < kStreams; i++) in[i] = &payload[place(n, i) * kBytes];
           g722DecodeBatch(decoderList.data(), in.data(), kBytes, heardList.data(), kStreams);
         }
       }},
  };
#if defined(HAVE_AVCODEC)
  Ffmpeg ffmpeg;
  encoding.push_back({"ffmpeg", each([&](size_t n) { ffmpeg.encode(&pcm[n * kSamples]); })});
  decoding.push_back({"ffmpeg", each([&](size_t n) { ffmpeg.decode(&payload[n * kBytes]); })});
#endif
#if defined(HAVE_SPANDSP)
  const std::shared_ptr<g722_encode_state_t> spanEncoder(g722_encode_init(nullptr, 64000, 0),
                                                         g722_encode_free);
  const std::shared_ptr<g722_decode_state_t> spanDecoder(g722_decode_init(nullptr, 64000, 0),
                                                         g722_decode_free);
  encoding.push_back({"spandsp", each([&](size_t n) {
                        g722_encode(spanEncoder.get(), coded.data(), &pcm[n * kSamples], kSamples);
                      })});
  decoding.push_back({"spandsp", each([&](size_t n) {
                        g722_decode(spanDecoder.get(), heard.data(), &payload[n * kBytes], kBytes);
                      })});
#endif
  print("encode", encoding, frames);
  print("decode", decoding, frames);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
