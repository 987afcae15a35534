package diameter

// AVPs of the base protocol (RFC 6733) and of RFC 7155 that a message of charging may carry.
const (
	userName              key = 1
	nasIPAddress          key = 4
	nasPort               key = 5
	framedIPAddress       key = 8
	classAVP              key = 25
	callingStation        key = 31
	nasIdentifier         key = 32
	nasPortType           key = 61
	framedIPv6Prefix      key = 97
	delegatedIPv6Prefix   key = 123
	filterID              key = 11
	proxyState            key = 33
	calledStation         key = 30
	acctSessionTime       key = 46
	eventTimestamp        key = 55
	acctInterimInterval   key = 85
	hostIPAddress         key = 257
	authApplication       key = 258
	acctApplication       key = 259
	vendorSpecificApp     key = 260
	sessionID             key = 263
	originHost            key = 264
	supportedVendor       key = 265
	vendorID              key = 266
	firmwareRevision      key = 267
	resultCode            key = 268
	productName           key = 269
	disconnectCause       key = 273
	originState           key = 278
	failedAVP             key = 279
	proxyHost             key = 280
	errorMessage          key = 281
	routeRecord           key = 282
	destinationRealm      key = 283
	proxyInfo             key = 284
	reAuthType            key = 285
	destinationHost       key = 293
	errorReportingHost    key = 294
	terminationCause      key = 295
	originRealm           key = 296
	inbandSecurity        key = 299
	acctInputOctets       key = 363
	acctOutputOctets      key = 364
	accountingRecordType  key = 480
	accountingRealtime    key = 483
	accountingRecordNo    key = 485
	experimentalResult    key = 297
	acctSessionID         key = 44
	acctMultiSession      key = 50
	accountingSubSession  key = 287
	authSessionState      key = 277
	authorizationLifetime key = 291
)

// AVPs of credit control (RFC 8506).
const (
	ccCorrelation       key = 411
	ccInput             key = 412
	ccMoney             key = 413
	ccOutput            key = 414
	ccNumber            key = 415
	ccType              key = 416
	ccSpecific          key = 417
	ccFailover          key = 418
	ccSubSession        key = 419
	ccTime              key = 420
	ccTotal             key = 421
	checkBalance        key = 422
	costInformation     key = 423
	currencyCode        key = 425
	failureHandling     key = 427
	debitFailure        key = 428
	exponent            key = 429
	finalUnit           key = 430
	granted             key = 431
	ratingGroup         key = 432
	redirectType        key = 433
	redirectServer      key = 434
	redirectAddress     key = 435
	requestedAction     key = 436
	requested           key = 437
	restrictionRule     key = 438
	serviceID           key = 439
	serviceParameter    key = 440
	serviceParamType    key = 441
	serviceParamValue   key = 442
	subscriptionID      key = 443
	subscriptionData    key = 444
	unitValue           key = 445
	used                key = 446
	valueDigits         key = 447
	validityTime        key = 448
	finalAction         key = 449
	subscriptionType    key = 450
	tariffChangeTime    key = 451
	tariffChangeUsage   key = 452
	poolID              key = 453
	unitType            key = 454
	multipleServices    key = 455
	mscc                key = 456
	poolReference       key = 457
	userEquipment       key = 458
	equipmentType       key = 459
	equipmentValue      key = 460
	serviceContext      key = 461
	equipmentExtension  key = 653 // with 654 IMEISV ... 658 IMEI inside
	equipmentIMEISV     key = 654
	equipmentIMEI       key = 658
	subscriptionExt     key = 659 // with 660 E.164 ... 664 private inside
	subscriptionE164    key = 660
	subscriptionPrivate key = 664
	redirectExtension   key = 665
	redirectIP          key = 666
	redirectURL         key = 667
	redirectSIP         key = 668
	qosFinalUnit        key = 669
)

// AVPs of 3GPP (TS 29.061, TS 32.299).
const (
	tgppChargingID     = tgpp | 2
	sgsnMCCMNC         = tgpp | 18
	ratType            = tgpp | 21
	userLocation       = tgpp | 22
	msTimeZone         = tgpp | 23
	roleOfNode         = tgpp | 829
	callingParty       = tgpp | 831
	calledParty        = tgpp | 832
	imsChargingID      = tgpp | 841
	imsServiceID       = tgpp | 855
	timeThreshold      = tgpp | 868
	volumeThreshold    = tgpp | 869
	triggerType        = tgpp | 870
	holdingTime        = tgpp | 871
	reportingReason    = tgpp | 872
	serviceInformation = tgpp | 873
	psFurnish          = tgpp | 865
	psInformation      = tgpp | 874
	imsInformation     = tgpp | 876
	mmsInformation     = tgpp | 877
	consumptionTime    = tgpp | 881
	originatorAddress  = tgpp | 886
	qosInformation     = tgpp | 1016
	addressData        = tgpp | 897
	addressType        = tgpp | 899
	recipientAddress   = tgpp | 1201
	unitThreshold      = tgpp | 1226
	pdpAddress         = tgpp | 1227
	sgsnAddress        = tgpp | 1228
	serviceSpecific    = tgpp | 1249
	calledAsserted     = tgpp | 1250
	eventChargingTime  = tgpp | 1258
	trigger            = tgpp | 1264
	envelope           = tgpp | 1266
	envelopeReporting  = tgpp | 1268
	timeQuotaMechanism = tgpp | 1270
	afCorrelation      = tgpp | 1276
	offlineCharging    = tgpp | 1278
	terminalInfo       = tgpp | 1401
	terminalIMEI       = tgpp | 1402
	smsInformation     = tgpp | 2000
	smMessageType      = tgpp | 2007
	numberOfMessages   = tgpp | 2019
	lowBalance         = tgpp | 2020
	remainingBalance   = tgpp | 2021
	refundInformation  = tgpp | 2022
	recipientInfo      = tgpp | 2026
	originatorReceived = tgpp | 2027
	changeTime         = tgpp | 2038
	dataContainer      = tgpp | 2040
	timeUsage          = tgpp | 2045
	dataVolumes        = tgpp | 2046
	aocRequestType     = tgpp | 2055
	sgwAddress         = tgpp | 2067
	localSequence      = tgpp | 2063
	announcement       = tgpp | 3904
	relatedTrigger     = tgpp | 3926
)

// understood tells the AVPs that may stand in a request of credit control or accounting although nothing is read from them. Any
// other unknown AVP with the M flag is refused (RFC 6733 4.1).
func understood(k key) bool {
	switch k {
	case userName, proxyState, calledStation, acctSessionTime, acctInterimInterval, hostIPAddress, authApplication, acctApplication,
		vendorSpecificApp, supportedVendor, vendorID, firmwareRevision, productName, proxyHost, routeRecord, proxyInfo,
		destinationHost, terminationCause, accountingRecordType, accountingRealtime, accountingRecordNo, acctSessionID,
		nasIPAddress, nasPort, framedIPAddress, classAVP, callingStation, nasIdentifier, nasPortType, framedIPv6Prefix,
		delegatedIPv6Prefix, acctMultiSession, accountingSubSession, authSessionState, authorizationLifetime,
		acctInputOctets, acctOutputOctets:
		return true
	case ccCorrelation, multipleServices, poolReference, poolID, serviceParameter, serviceParamType, serviceParamValue,
		requestedAction, requested, granted, costInformation, validityTime, equipmentType, ccFailover, failureHandling:
		return true
	case timeThreshold, volumeThreshold, unitThreshold, holdingTime, consumptionTime, timeQuotaMechanism, envelope, afCorrelation,
		qosInformation, psFurnish, serviceSpecific, envelopeReporting, offlineCharging, announcement, relatedTrigger,
		tgppChargingID, sgsnMCCMNC, ratType, userLocation, msTimeZone, aocRequestType, trigger, triggerType,
		reportingReason, refundInformation, addressType, eventChargingTime, localSequence:
		return true
	}
	return false
}
