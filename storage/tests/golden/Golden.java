// Writes the golden batches beside this file with Apache Kafka's own classes, and reads ours with them.
//   javac -cp 'kafka-clients.jar' -d OUT Golden.java
//   java -cp 'kafka-clients.jar:lz4-java.jar:snappy-java.jar:zstd-jni.jar:slf4j-api.jar:OUT' Golden write DIR
//   java -cp ... Golden read FILE...        (FILE: batches back to back; prints each record, checks each checksum)
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;

public class Golden {
    static byte[] bytes(String text) { return text.getBytes(StandardCharsets.UTF_8); }

    static byte[] large() {
        byte[] value = new byte[70_000];
        for (int i = 0; i < value.length; i++) value[i] = (byte) ('a' + i % 7);
        return value;
    }

    static SimpleRecord[] records(boolean withLarge) {
        long t = 1_700_000_000_000L;
        List<SimpleRecord> all = new ArrayList<>();
        Header[] headers = {new RecordHeader("h", bytes("1")), new RecordHeader("h", null), new RecordHeader("\u00e9", bytes(""))};
        all.add(new SimpleRecord(t, bytes("k0"), bytes("v0"), headers));
        all.add(new SimpleRecord(t - 5, null, bytes("")));
        all.add(new SimpleRecord(t + 100_000, bytes("tombstone"), null));
        if (withLarge) all.add(new SimpleRecord(t + 1, bytes(""), large()));
        return all.toArray(new SimpleRecord[0]);
    }

    static void write(Path dir, String name, MemoryRecords records) throws Exception {
        ByteBuffer buffer = records.buffer().duplicate();
        StringBuilder text = new StringBuilder();
        for (int i = 0; buffer.hasRemaining(); i++) text.append(String.format("%02x", buffer.get())).append(i % 48 == 47 ? "\n" : "");
        Files.writeString(dir.resolve(name + ".hex"), text.append("\n").toString());
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("write")) {
            Path dir = Path.of(args[1]);
            Compression[] codecs = {Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build(), Compression.zstd().build()};
            for (Compression codec : codecs)
                write(dir, "java_" + codec.type().name, MemoryRecords.withIdempotentRecords((byte) 2, 42L, codec, 4711L, (short) 3, 2147483646, 9, records(codec != Compression.NONE)));
            write(dir, "java_append_time", MemoryRecords.withRecords((byte) 2, 7L, Compression.NONE, TimestampType.LOG_APPEND_TIME, records(false)));
            write(dir, "java_commit_marker", MemoryRecords.withEndTransactionMarker(99L, 1_700_000_000_000L, 5, 4711L, (short) 3, new EndTransactionMarker(ControlRecordType.COMMIT, 11)));
            return;
        }
        for (String file : Arrays.copyOfRange(args, 1, args.length)) {
            for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(Path.of(file)))).batches()) {
                batch.ensureValid();
                System.out.printf("%s base=%d last=%d epoch=%d pid=%d/%d seq=%d..%d max=%d %s%n", batch.compressionType(), batch.baseOffset(), batch.lastOffset(), batch.partitionLeaderEpoch(), batch.producerId(), batch.producerEpoch(), batch.baseSequence(), batch.lastSequence(), batch.maxTimestamp(), batch.timestampType());
                for (org.apache.kafka.common.record.internal.Record record : batch)
                    System.out.printf("  %d %d key=%d value=%d headers=%d hash=%d%n", record.offset(), record.timestamp(), record.keySize(), record.valueSize(), record.headers().length, record.hasValue() ? record.value().hashCode() : -1);
            }
        }
    }
}
